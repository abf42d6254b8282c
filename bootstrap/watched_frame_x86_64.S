// void BroodWatchedFrame(void (*function)(const void*), const void* arg): function(arg), in a frame of its own whose personality
// routine is BroodPersonality (throw_site_x86_64.cc). No compiler lets a function name its routine.
	.section .text.BroodWatchedFrame,"ax",@progbits
	.globl	BroodWatchedFrame
	.hidden	BroodWatchedFrame
	.hidden	BroodPersonality
	// gold's --gc-sections does not follow the personality routine of a frame, but it follows this.
	.p2align 3
	.long	BroodPersonality - .
	.p2align 4
	.type	BroodWatchedFrame, @function
BroodWatchedFrame:
	.cfi_startproc
	// 0x1b: DW_EH_PE_pcrel | DW_EH_PE_sdata4.
	.cfi_personality 0x1b, BroodPersonality
	endbr64
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	movq	%rdi, %rax
	movq	%rsi, %rdi
	call	*%rax
	popq	%rbp
	.cfi_def_cfa %rsp, 8
	ret
	.cfi_endproc
	.size	BroodWatchedFrame, .-BroodWatchedFrame
	.section .note.GNU-stack,"",@progbits
