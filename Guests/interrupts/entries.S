// An entry point for each of the 256 vectors, which calls interrupted(vector), and a start-up routine that is not
// the usual one.

  .text
  .code64
.macro entry vector
interrupt_\vector:
  pushq $\vector
  jmp entered_with_vector
.endm
  .altmacro
  .set vector, 0
  .rept 256
  entry %vector
  .set vector, vector + 1
  .endr

entered_with_vector:
  pushq %rax
  pushq %rcx
  pushq %rdx
  pushq %rsi
  pushq %rdi
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  movq 72(%rsp), %rdi
  cld
  subq $8, %rsp // the processor aligned the stack before it pushed 5 words
  call interrupted
  addq $8, %rsp
  popq %r11
  popq %r10
  popq %r9
  popq %r8
  popq %rdi
  popq %rsi
  popq %rdx
  popq %rcx
  popq %rax
  addq $8, %rsp
  iretq

// Copied to any page below 1 MiB. Counts each arrival and notes the code segment, then stops for ever.
  .code16
  .globl landing, landing_end, landing_count, landing_segment
landing:
  cli
  movw %cs, %ax
  movw %ax, %ds
  movw %ax, landing_segment - landing
  lock incl landing_count - landing
1:
  hlt
  jmp 1b
  .align 4
landing_count: .long 0
landing_segment: .word 0
landing_end:

  .section .rodata
  .align 8
  .globl interrupt_entries
.macro pointer vector
  .quad interrupt_\vector
.endm
interrupt_entries:
  .set vector, 0
  .rept 256
  pointer %vector
  .set vector, vector + 1
  .endr
