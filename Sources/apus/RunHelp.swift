/// The part of `apus run --help` that is not about one option.
enum RunHelp {
  static let discussion = """
    The guest's first serial port is the terminal, raw while the guest runs:
      Ctrl-A x   ends the guest
      Ctrl-A a   sends Ctrl-A to the guest
      Ctrl-A h   shows these keys

    EXAMPLES
      apus run vmlinuz --initrd initrd.img --append 'console=ttyS0'
      apus run vmlinux --cpus 4 --memory 2G --disk root.img \\
        --append 'console=ttyS0 root=/dev/vda'
      apus run vmlinuz --disk root.img,readonly --disk data.img \\
        --serial file:guest.log
      apus run vmlinuz --disk root.img --net tap=tap0
      apus run test.elf --debug-exit --test-device --cpus 2
      apus run vmlinuz --disk root.img --dry-run
      apus run vmlinuz --disk root.img --irqchip user --dump-interrupts
      apus run vmlinuz --disk root.img --save guest.apus
      apus run --restore guest.apus --disk root.img

    EXIT CODES
      0   the guest powered off, was ended by Ctrl-A x or a signal, or saved
      2   bad input: an option, a file or a value
      4   the host failed: KVM, memory, a system call
      6   the guest reset the machine (unless --on-reset restart)
      8   the guest halted: all processors stopped, interrupts disabled
      10  triple fault
      12  KVM could not run the guest's code
      with --debug-exit, (V << 1) | 1 for a write of V to port 0xF4

    SIGNALS
      SIGTERM, SIGINT and SIGHUP press the guest's power button if it listens
      to it. They end it at once if it does not, if a second one comes, and
      after 10 seconds. SIGUSR1 prints the state of interrupt controllers,
      network interfaces and balloon on standard error, and the guest goes on;
      with --save-interrupts, the first is kept in the file, too. SIGUSR2 tells
      the guest of disks that have changed their size; with --save it saves the
      machine, and ends it.
    """
}
