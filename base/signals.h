// Signals as an outcome tells them: by Linux's numbers, also on Windows, where only kSignalKill and kSignalTerminate are ever
// sent (docs/windows.md).
#ifndef BROOD_BASE_SIGNALS_H_
#define BROOD_BASE_SIGNALS_H_

#include <string>

namespace brood {

inline constexpr int kSignalKill = 9;
inline constexpr int kSignalTerminate = 15;
inline constexpr int kSignalCpuTime = 24;
inline constexpr int kSignalFileSize = 25;
inline constexpr int kSignalSystemCall = 31;

// The highest number that a signal can have here.
int LastSignal();

// "SIGTERM"; empty for one that has no name.
std::string SignalName(int signal);

// The same, but "signal 40" for one that has no name.
std::string SignalText(int signal);

}  // namespace brood

#endif  // BROOD_BASE_SIGNALS_H_
