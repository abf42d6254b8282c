// Writes to stdout for ever, with terminal escapes and zero bytes among it, or to each stream in turn.
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  static char block[1 << 16];
  memset(block, 'x', sizeof block);
  memcpy(block, "\033[2J\0\377", 6);
  const int both = argc > 1 && strcmp(argv[1], "both") == 0;
  for (int i = 0;; ++i) {
    if (write(both && i % 2 ? 2 : 1, block, sizeof block) < 0) return 1;
  }
}
