# int brood_begin_child(void* order): see keeper_child.h. clone(2) leaves a child what its keeper had in registers.
  .text
  .globl brood_begin_child
  .type brood_begin_child, @function
brood_begin_child:
  xorl %eax, %eax
  xorl %ebx, %ebx
  xorl %ecx, %ecx
  xorl %edx, %edx
  xorl %esi, %esi
  xorl %ebp, %ebp
  xorl %r8d, %r8d
  xorl %r9d, %r9d
  xorl %r10d, %r10d
  xorl %r11d, %r11d
  xorl %r12d, %r12d
  xorl %r13d, %r13d
  xorl %r14d, %r14d
  xorl %r15d, %r15d
  pxor %xmm0, %xmm0
  pxor %xmm1, %xmm1
  pxor %xmm2, %xmm2
  pxor %xmm3, %xmm3
  pxor %xmm4, %xmm4
  pxor %xmm5, %xmm5
  pxor %xmm6, %xmm6
  pxor %xmm7, %xmm7
  pxor %xmm8, %xmm8
  pxor %xmm9, %xmm9
  pxor %xmm10, %xmm10
  pxor %xmm11, %xmm11
  pxor %xmm12, %xmm12
  pxor %xmm13, %xmm13
  pxor %xmm14, %xmm14
  pxor %xmm15, %xmm15
  jmp brood_child_begins@PLT
  .size brood_begin_child, . - brood_begin_child

# long brood_clone_into(const void* arguments, size_t size, void* order, uint64_t secret): see keeper_child.h. The order is in a
# register that a system call leaves as it is, since the child begins on another stack. syscall(2)
  .globl brood_clone_into
  .type brood_clone_into, @function
brood_clone_into:
  movq %rcx, %r9
  movq %rdx, %r8
  movl $435, %eax
  syscall
  testq %rax, %rax
  jz .Lchild
  ret
.Lchild:
  movq %r8, %rdi
  call brood_begin_child
  hlt
  .size brood_clone_into, . - brood_clone_into

# long brood_clone(uint64_t flags, void* stack, void* order, int* pidfd, int* tid): see keeper_child.h. The order is in a register
# that clone(2) does not take, so that nothing is written to the child's stack.
  .globl brood_clone
  .type brood_clone, @function
brood_clone:
  movq %rdx, %r9
  movq %rcx, %rdx
  movq %r8, %r10
  xorl %r8d, %r8d
  movl $56, %eax
  syscall
  testq %rax, %rax
  jz .Lborn
  ret
.Lborn:
  movq %r9, %rdi
  call brood_begin_child
  hlt
  .size brood_clone, . - brood_clone
  .section .note.GNU-stack, "", @progbits
