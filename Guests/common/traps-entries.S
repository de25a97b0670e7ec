// Entry points of the 32 exceptions. One that is expected goes on at fault_resume; any other ends in C
// with what happened.

  .text
  .code64
.macro trap vector has_code
trap_\vector:
  .if \has_code == 0
  pushq $0
  .endif
  pushq $\vector
  jmp trapped
.endm

  .altmacro
  .set vector, 0
  .rept 32
  .if (vector == 8) | ((vector >= 10) & (vector <= 14)) | (vector == 17) | (vector == 21) | (vector == 29) | (vector == 30)
  trap %vector, 1
  .else
  trap %vector, 0
  .endif
  .set vector, vector + 1
  .endr

trapped:
  pushq %rax
  movq fault_resume(%rip), %rax
  testq %rax, %rax
  jz unexpected
  movq %rax, 24(%rsp) // instruction pointer
  movq 8(%rsp), %rax
  movq %rax, fault_vector(%rip)
  movq 16(%rsp), %rax
  movq %rax, fault_code(%rip)
  movq $0, fault_resume(%rip)
  popq %rax
  addq $16, %rsp
  iretq

unexpected:
  popq %rax
  popq %rdi // vector
  popq %rsi // error code
  popq %rdx // instruction pointer
  movq %cr2, %rcx
  andq $-16, %rsp
  call trap_report
  jmp .

  .section .rodata
  .align 8
  .globl trap_entries
.macro entry vector
  .quad trap_\vector
.endm
trap_entries:
  .set vector, 0
  .rept 32
  entry %vector
  .set vector, vector + 1
  .endr

  .data
  .align 8
  .globl fault_resume, fault_vector, fault_code
fault_resume: .quad 0
fault_vector: .quad 0
fault_code: .quad 0
