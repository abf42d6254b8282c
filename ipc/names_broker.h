// The process behind Names (names.h): who has which name.
#ifndef BROOD_IPC_NAMES_BROKER_H_
#define BROOD_IPC_NAMES_BROKER_H_

namespace brood::internal {

inline constexpr char kNamesFlag[] = "--brood-names";  // ARGV0 --brood-names SOCKET

// What Bootstrap does where the command line has kNamesFlag: serves `socket`, the first channel, and those that it gives
// out, until the last one is closed. All signals are blocked; only SIGKILL ends it before that.
[[noreturn]] void RunNamesBroker(int socket);

}  // namespace brood::internal

#endif  // BROOD_IPC_NAMES_BROKER_H_
