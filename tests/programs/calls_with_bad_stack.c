// Makes a forbidden system call (reboot, with numbers that do nothing) while its stack is not what a stack trace expects.
// usage: calls_with_bad_stack nowhere | loop | garbage | edge
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static char stack[1 << 16];

static void Call(void* stack_pointer, void* frame_pointer) {
  __asm__ volatile(
      "mov %0, %%rsp\n\t"
      "mov %1, %%rbp\n\t"
      "xor %%edi, %%edi\n\t"
      "xor %%esi, %%esi\n\t"
      "mov %2, %%eax\n\t"
      "syscall\n\t"
      "hlt"
      :
      : "r"(stack_pointer), "r"(frame_pointer), "i"(SYS_reboot)
      : "memory", "rax", "rcx", "r11", "rdi", "rsi");
}

int main(int argc, char** argv) {
  const char* how = argc > 1 ? argv[1] : "";
  uintptr_t* words = (uintptr_t*)stack;
  const size_t count = sizeof(stack) / sizeof(words[0]);
  if (strcmp(how, "nowhere") == 0) Call((void*)0xdeadbeef0000, (void*)~(uintptr_t)0);
  // Every word is an address of this very function's code, or of the word itself.
  for (size_t i = 0; i < count; ++i) words[i] = strcmp(how, "loop") == 0 && i % 2 == 0 ? (uintptr_t)&words[i] : (uintptr_t)&Call + 8;
  if (strcmp(how, "loop") == 0) Call(words, words);
  srand(1);
  for (size_t i = 0; i < count; ++i) words[i] = (uintptr_t)rand() << 17 ^ (uintptr_t)rand();
  if (strcmp(how, "garbage") == 0) Call(words, words + 8);
  // The last bytes of a mapping, and of all addresses.
  char* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (strcmp(how, "edge") == 0) Call(page + 4093, (void*)(~(uintptr_t)0 - 3));
  return 2;
}
