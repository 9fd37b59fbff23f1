// What of door.c no compiler can say: where a program begins, and a system call.
//
//   _start: calls start(stack), `stack` as execve(2) left it: argc, argv, environment, auxiliary vector.
//   call(number, a, b, c, d, e, f): makes a system call and returns what it left, an error as -errno.

	.text
	.globl _start, call
#if !defined(__arm__)
	.type _start, @function
	.type call, @function
#else
	.type _start, %function
	.type call, %function
#endif

#if defined(__x86_64__)
_start:
	xor %ebp, %ebp
	mov %rsp, %rdi
	and $-16, %rsp
	call start
	ud2
call:
	mov %rdi, %rax
	mov %rsi, %rdi
	mov %rdx, %rsi
	mov %rcx, %rdx
	mov %r8, %r10
	mov %r9, %r8
	mov 8(%rsp), %r9
	syscall
	ret

#elif defined(__i386__)
_start:
	xor %ebp, %ebp
	mov %esp, %eax
	and $-16, %esp
	sub $12, %esp
	push %eax
	call start
	ud2
call:
	push %ebp
	push %ebx
	push %esi
	push %edi
	mov 20(%esp), %eax
	mov 24(%esp), %ebx
	mov 28(%esp), %ecx
	mov 32(%esp), %edx
	mov 36(%esp), %esi
	mov 40(%esp), %edi
	mov 44(%esp), %ebp
	int $0x80
	pop %edi
	pop %esi
	pop %ebx
	pop %ebp
	ret

#elif defined(__aarch64__)
_start:
	mov x29, #0
	mov x30, #0
	mov x0, sp
	bl start
	brk #0
call:
	mov x8, x0
	mov x0, x1
	mov x1, x2
	mov x2, x3
	mov x3, x4
	mov x4, x5
	mov x5, x6
	svc #0
	ret

#elif defined(__arm__)
_start:
	mov fp, #0
	mov lr, #0
	mov r0, sp
	bic sp, sp, #7
	bl start
	udf #0
call:
	mov ip, sp
	push {r4, r5, r6, r7}
	mov r7, r0
	mov r0, r1
	mov r1, r2
	mov r2, r3
	ldm ip, {r3, r4, r5}
	svc #0
	pop {r4, r5, r6, r7}
	bx lr

#elif defined(__s390x__)
_start:
	lgr %r2, %r15
	aghi %r15, -160
	xc 0(8,%r15), 0(%r15)
	brasl %r14, start
	j .+2
call:
	stmg %r6, %r7, 48(%r15)
	lgr %r1, %r2
	lgr %r2, %r3
	lgr %r3, %r4
	lgr %r4, %r5
	lgr %r5, %r6
	lg %r6, 160(%r15)
	lg %r7, 168(%r15)
	svc 0
	lmg %r6, %r7, 48(%r15)
	br %r14

#elif defined(__riscv)
_start:
	.option push
	.option norelax
	lla gp, __global_pointer$
	.option pop
	mv a0, sp
	andi sp, sp, -16
	call start
	ebreak
call:
	mv t0, a0
	mv a0, a1
	mv a1, a2
	mv a2, a3
	mv a3, a4
	mv a4, a5
	mv a5, a6
	mv a7, t0
	ecall
	ret

#elif defined(__powerpc64__)
	.abiversion 2
_start:
	addis %r2, %r12, .TOC.-_start@ha
	addi %r2, %r2, .TOC.-_start@l
	mr %r3, %r1
	clrrdi %r1, %r1, 4
	li %r0, 0
	stdu %r0, -64(%r1)
	bl start
	nop
	trap
call:
	mr %r0, %r3
	mr %r3, %r4
	mr %r4, %r5
	mr %r5, %r6
	mr %r6, %r7
	mr %r7, %r8
	mr %r8, %r9
	sc
	bnslr
	neg %r3, %r3
	blr
#endif

	.section .note.GNU-stack, ""
