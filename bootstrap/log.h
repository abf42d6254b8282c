// What brood does, on stderr, for those who ask: as multiprocessing.log_to_stderr.
//
//   brood::LogToStderr(brood::LogLevel::kInfo);       // Off by default.
//   context.Call(Square, 7);
//
//   [INFO/MainProcess] starting SpawnProcess-1: Square
//   [INFO/SpawnProcess-1] child process calling Square
//   [INFO/SpawnProcess-1] process shutting down
//   [DEBUG/SpawnProcess-1] running all finalizers with priority >= 0
//   [INFO/SpawnProcess-1] process exiting with exitcode 0
//
// Children that are started later have the same level, unless their context says otherwise (ContextOptions::log_level).
// Thread-safe. Each line is one write(2), so that the lines of several processes do not mix. A child logs once its
// bootstrap owns the process, never between fork and exec.
#ifndef BROOD_BOOTSTRAP_LOG_H_
#define BROOD_BOOTSTRAP_LOG_H_

#include <string_view>

namespace brood {

// Python's numbers, so that others may stand between them.
enum class LogLevel : int { kOff = 0, kDebug = 10, kInfo = 20, kWarning = 30, kError = 40 };

// From now on lines of `level` and above are written. kOff: none.
void LogToStderr(LogLevel level);
LogLevel CurrentLogLevel();

namespace internal {

// Keeps errno. Line feeds and other control characters of `message` are written as spaces.
void Log(LogLevel level, std::string_view message);

// Whether Log would write: for messages that take work to make.
bool LogsAt(LogLevel level);

}  // namespace internal
}  // namespace brood

#endif  // BROOD_BOOTSTRAP_LOG_H_
