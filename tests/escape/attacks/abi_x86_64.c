// System calls of other ABIs, whose numbers mean other things, and numbers and arguments with odd bits.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

// Numbers of the i386 ABI. arch/x86/entry/syscalls/syscall_32.tbl.
enum { k386Read = 3, k386Open = 5, k386Getpid = 20, k386AddKey = 286 };

static long Int80(long number, long a, long b, long c) {
  long result = number;
  __asm__ volatile("int $0x80" : "+a"(result) : "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
  // Only 32 bits come back.
  result = (int)result;
  if (result < 0 && result > -4096) {
    errno = (int)-result;
    return -1;
  }
  return result;
}

// Memory that an address of 32 bits reaches.
static char* LowMemory(void) {
  char* memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  return Step("mmap", memory == MAP_FAILED ? -1 : 0) ? memory : NULL;
}

static void I386Getpid(void) { Report("getpid by int 0x80", Int80(k386Getpid, 0, 0, 0)); }

static void I386Open(void) {
  char* memory = LowMemory();
  if (memory == NULL) return;
  strcpy(memory, Fact("secret"));
  const long fd = Int80(k386Open, (long)memory, O_RDONLY, 0);
  if (!Step("open by int 0x80", fd)) return;
  const long size = Int80(k386Read, fd, (long)memory, 64);
  if (Step("read by int 0x80", size)) Leak(memory, (size_t)size);
}

static void I386AddKey(void) {
  char* memory = LowMemory();
  if (memory == NULL) return;
  strcpy(memory, "user");
  strcpy(memory + 16, Nonce());
  long result = k386AddKey;
  // Five arguments; KEY_SPEC_PROCESS_KEYRING is -2.
  __asm__ volatile("int $0x80"
                   : "+a"(result)
                   : "b"(memory), "c"(memory + 16), "d"(memory), "S"(1L), "D"(-2L)
                   : "memory", "r8", "r9", "r10", "r11");
  result = (int)result;
  errno = (int)-result;
  Report("add_key by int 0x80", result < 0 ? -1 : result);
}

static void CompatibilityMode(void) {
  // Leaves 64-bit mode by a far return to the 32-bit code segment, calls the kernel from there, and comes back.
  static const unsigned char kCode[] = {
      0xb8, k386Getpid, 0, 0, 0,                 // mov $getpid, %eax
      0xcd, 0x80,                                // int $0x80
      0xea, 0, 0, 0, 0, 0x33, 0,                 // ljmp $0x33, $back
      0x48, 0x89, 0xec, 0x5d, 0x5b, 0xc3,        // back, 64 bit: mov %rbp, %rsp; pop %rbp; pop %rbx; ret
  };
  char* memory = LowMemory();
  if (memory == NULL) return;
  memcpy(memory, kCode, sizeof kCode);
  const uint32_t back = (uint32_t)(uintptr_t)memory + 14;
  memcpy(memory + 8, &back, sizeof back);
  // Loads the stack, which must be low, and returns far. It saves what it must.
  long result;
  char* stack = memory + 60000;
  __asm__ volatile(
      "push %%rbx\n"
      "push %%rbp\n"
      "mov %%rsp, %%rbp\n"
      "lea 1f(%%rip), %%rax\n"
      "mov %[stack], %%rsp\n"
      "push $0x23\n"
      "push %[code]\n"
      "lretq\n"
      "1:\n"
      : "=a"(result)
      : [code] "r"(memory), [stack] "r"(stack)
      : "memory", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
  result = (int)result;
  errno = (int)-result;
  Report("getpid in compatibility mode", result < 0 ? -1 : result);
}

enum { kX32 = 0x40000000 };
static void X32Getpid(void) { Report("getpid of x32", syscall(kX32 | SYS_getpid)); }
static void X32Open(void) {
  const int fd = (int)syscall(kX32 | SYS_open, Fact("secret"), O_RDONLY, 0);
  if (Step("open of x32", fd)) LeakDescriptor("read", fd);
}
static void X32AddKey(void) { Report("add_key of x32", syscall(kX32 | SYS_add_key, "user", Nonce(), "x", 1L, -2L)); }

static long RawSyscall(unsigned long number, long a, long b, long c, long d, long e) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "memory", "rcx", "r11");
  if (result < 0 && result > -4096) {
    errno = (int)-result;
    return -1;
  }
  return result;
}

static void NumberHighBits(void) {
  // The kernel takes the lower half of the number.
  Report("add_key with a higher bit in its number",
         RawSyscall((1UL << 32) | SYS_add_key, (long)"user", (long)Nonce(), (long)"x", 1, -2));
}

static void PersonalityHighBits(void) {
  Report("personality", syscall(SYS_personality, (1UL << 32) | ADDR_NO_RANDOMIZE));
}

static void PersonalityAllBits(void) {
  // 0xffffffff asks what is set, and is allowed. One more bit above must not make it set something.
  const long before = syscall(SYS_personality, 0xffffffffUL);
  syscall(SYS_personality, (1UL << 33) | READ_IMPLIES_EXEC);
  const long after = syscall(SYS_personality, 0xffffffffUL);
  if (after != before) Succeeded("personality has changed");
  Stopped("personality is what it was", 0);
}

const struct Attack kAbi[] = {
    {"int80-getpid", I386Getpid, kClaim, kMachine, "calls the kernel by int 0x80", "system call filter", NULL, NULL},
    {"int80-open", I386Open, kSecret, kMachine, "opens a file by int 0x80", "system call filter, mount namespace", NULL, NULL},
    {"int80-add-key", I386AddKey, kClaim, kMachine, "adds a key by int 0x80", "system call filter", NULL, NULL},
    {"compatibility-mode", CompatibilityMode, kClaim, kMachine, "calls the kernel from a 32-bit code segment", "system call filter", NULL, NULL},
    {"x32-getpid", X32Getpid, kClaim, kMachine, "calls the kernel by the x32 ABI", "system call filter", NULL, NULL},
    {"x32-open", X32Open, kSecret, kMachine, "opens a file by the x32 ABI", "system call filter, mount namespace", NULL, NULL},
    {"x32-add-key", X32AddKey, kClaim, kMachine, "adds a key by the x32 ABI", "system call filter", NULL, NULL},
    {"number-high-bits", NumberHighBits, kClaim, kMachine, "hides a number's upper half", "system call filter", NULL, NULL},
    {"personality-high-bits", PersonalityHighBits, kClaim, kAnywhere, "hides a flag's upper half", "system call filter", NULL, NULL},
    {"personality-query", PersonalityAllBits, kClaim, kAnywhere, "sets by what may only be asked", "system call filter", NULL, NULL},
    {0}};
