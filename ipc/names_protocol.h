// What a Names handle and its broker say to each other: one packet each way, over SOCK_SEQPACKET. Not for users.
//
// A request carries the socket for its own answer, so that threads and forks that share a channel cannot take each
// other's, and the memory that is to be named, if it is one. Both ends are of one build: nothing else speaks this.
#ifndef BROOD_IPC_NAMES_PROTOCOL_H_
#define BROOD_IPC_NAMES_PROTOCOL_H_

#include <cstddef>
#include <cstdint>

namespace brood::internal {

enum class NamesOperation : uint32_t {
  kCreate = 1,  // Handles: the socket for the answer, then the memory.
  kOpen = 2,    // The answer has the memory.
  kUnlink = 3,
  kShare = 4,   // No name. The answer has a channel.
};

enum class NamesAnswer : uint32_t { kOk = 1, kExists = 2, kNotFound = 3, kFull = 4 };

inline constexpr size_t kNamesHeaderBytes = sizeof(NamesOperation);  // The rest of the packet is the name.
inline constexpr size_t kMaxNamesBytes = 255;                        // Of a name.

}  // namespace brood::internal

#endif  // BROOD_IPC_NAMES_PROTOCOL_H_
