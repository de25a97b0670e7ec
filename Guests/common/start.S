// From the boot loader's 32-bit mode, and from an AP's real mode, to C in 64-bit mode.

#define MAGIC 0x1BADB002
#define FLAGS 0x3 // modules on pages; a memory map, please
#define STACK_SIZE 8192
#define MAX_CPUS 64

  .section .multiboot, "a"
  .align 4
  .long MAGIC, FLAGS, -(MAGIC + FLAGS)

  .text
  .code32
  .globl start
start:
  cli
  cld
  movl %eax, boot_magic
  movl %ebx, boot_info

  // Identity page tables for 4 GiB, of 2 MiB pages.
  movl $page_directory_pointers + 3, page_table
  movl $page_directories + 3, %eax
  movl $page_directory_pointers, %edi
  movl $4, %ecx
1:
  movl %eax, (%edi)
  addl $0x1000, %eax
  addl $8, %edi
  decl %ecx
  jnz 1b
  movl $0x83, %eax
  movl $page_directories, %edi
  movl $2048, %ecx
2:
  movl %eax, (%edi)
  addl $0x200000, %eax
  addl $8, %edi
  decl %ecx
  jnz 2b

  lgdt gdt_pointer
  ljmp $0x08, $enter_long_mode

// Both kinds of CPU come here in 32-bit mode on our own GDT, without a stack.
enter_long_mode:
  movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  xorl %eax, %eax
  movl %eax, %fs
  movl %eax, %gs
  movl $0x20, %eax // PAE
  movl %eax, %cr4
  movl $page_table, %eax
  movl %eax, %cr3
  movl $0xC0000080, %ecx // EFER
  rdmsr
  orl $0x100, %eax // LME
  wrmsr
  movl %cr0, %eax
  andl $0x9FFFFFFF, %eax // caches on
  orl $0x80000001, %eax
  movl %eax, %cr0
  ljmp $0x18, $long_mode

  .code64
long_mode:
  // The first CPU gets stack 0, and so on.
  movl $1, %eax
  lock xaddl %eax, cpus_started(%rip)
  cmpl $MAX_CPUS, %eax
  jae stop
  movl %eax, %edi
  incl %eax
  imull $STACK_SIZE, %eax, %eax
  leaq stacks(%rip), %rsp
  addq %rax, %rsp
  xorl %ebp, %ebp
  lidt idt_pointer(%rip)
  testl %edi, %edi
  jnz 3f
  call main
  jmp stop
3:
  call ap_main
stop:
  cli
  hlt
  jmp stop

// Copied to the page that the start-up interrupt names; must not depend on where it is.
  .code16
  .globl trampoline, trampoline_end
trampoline:
  cli
  cld
  movw %cs, %ax
  movw %ax, %ds
  lgdtl trampoline_gdt - trampoline
  movl %cr0, %eax
  orl $1, %eax
  movl %eax, %cr0
  ljmpl $0x08, $enter_long_mode
  .align 4
trampoline_gdt:
  .word gdt_end - gdt - 1
  .long gdt
trampoline_end:

  .data
  .align 16
gdt:
  .quad 0
  .quad 0x00CF9B000000FFFF // 0x08: 32-bit code
  .quad 0x00CF93000000FFFF // 0x10: data
  .quad 0x00AF9B000000FFFF // 0x18: 64-bit code
gdt_end:
gdt_pointer:
  .word gdt_end - gdt - 1
  .long gdt, 0
  .globl idt_pointer
  .align 16
idt_pointer:
  .word 4095
  .quad idt

  .globl boot_magic, boot_info, cpus_started
boot_magic: .long 0
boot_info: .long 0
cpus_started: .long 0

  .bss
  .align 4096
page_table: .skip 4096
page_directory_pointers: .skip 4096
page_directories: .skip 4 * 4096
  .globl idt
idt: .skip 4096
  .align 16
  .globl stacks
stacks: .skip MAX_CPUS * STACK_SIZE
