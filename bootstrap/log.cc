#include "bootstrap/log.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/among_data.h"
#include "base/own_process.h"
#include "bootstrap/current_process.h"

namespace brood {
namespace {

constinit AmongData<std::atomic<int>> g_level;

std::string_view LevelName(LogLevel level) {
  if (level >= LogLevel::kError) return "ERROR";
  if (level >= LogLevel::kWarning) return "WARNING";
  return level >= LogLevel::kInfo ? "INFO" : "DEBUG";
}

}  // namespace

void LogToStderr(LogLevel level) { g_level.value = static_cast<int>(level); }
LogLevel CurrentLogLevel() { return static_cast<LogLevel>(g_level.value.load()); }

namespace internal {

bool LogsAt(LogLevel level) {
  const int least = g_level.value;
  return least > 0 && static_cast<int>(level) >= least;
}

void Log(LogLevel level, std::string_view message) {
  if (!LogsAt(level)) return;
  const int error = errno;
  std::string line = absl::StrCat("[", LevelName(level), "/", CurrentProcess().name, "] ", message);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, ' ');
  line += '\n';
  WriteToStderr(line);
  errno = error;
}

}  // namespace internal
}  // namespace brood
