#include <windows.h>

#include "cli/terminal.h"

namespace brood {

bool TerminalRewritesLines() {
  const HANDLE console = GetStdHandle(STD_ERROR_HANDLE);
  DWORD mode = 0;
  // No console: GetConsoleMode fails. One before Windows 10: it refuses the mode.
  return GetConsoleMode(console, &mode) != 0 &&
         ((mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING) != 0 ||
          SetConsoleMode(console, mode | ENABLE_PROCESSED_OUTPUT | ENABLE_VIRTUAL_TERMINAL_PROCESSING) != 0);
}

size_t TerminalColumns() {
  CONSOLE_SCREEN_BUFFER_INFO screen = {};
  constexpr size_t kUsual = 80;
  if (!GetConsoleScreenBufferInfo(GetStdHandle(STD_ERROR_HANDLE), &screen)) return kUsual;
  const int columns = screen.srWindow.Right - screen.srWindow.Left + 1;
  return columns > 0 ? static_cast<size_t>(columns) : kUsual;
}

}  // namespace brood
