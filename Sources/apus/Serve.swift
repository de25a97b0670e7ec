import ArgumentParser

/// `apus serve`: a device in a process of its own, for whoever runs the guest.
struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve one device to a virtual machine monitor, in this process.",
    discussion: """
      EXAMPLES
        apus serve disk root.img --vhost-user disk.sock
        qemu-system-x86_64 -m 1G \\
          -object memory-backend-memfd,id=m,size=1G,share=on -numa node,memdev=m \\
          -chardev socket,id=d,path=disk.sock,reconnect=1 \\
          -device vhost-user-blk-pci,chardev=d

        apus serve disk root.img --vfio-user disk.sock
        qemu-system-x86_64 -m 1G \\
          -object memory-backend-memfd,id=m,size=1G,share=on -numa node,memdev=m \\
          -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"disk.sock"}}'

      For a proxy of the multi-process protocol, started by whoever made a pair of
      connected sockets, of which this process has number 5 and the proxy 6:

        apus serve disk root.img --mpqemu fd:5
        qemu-system-x86_64 ... -device x-pci-proxy-dev,id=d,fd=6

      A front end may come and go; the next is served. SIGTERM, SIGINT and SIGHUP
      end what is under way, remove the socket and end with exit code 0.

      EXIT CODES
        0   ended by a signal, or the only front end, client or proxy has gone
        2   bad input: an option, a file or a value
        4   the host failed: memory, a system call
        14  the sandbox refused a system call, which a line names
      """,
    subcommands: [
      ServeDisk.self, ServeNet.self, ServeConsole.self, ServeEntropy.self, ServeVsock.self,
      ServeBalloon.self,
    ]
  )
}
