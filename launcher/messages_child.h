// Messages between guardian and init, with descriptors, over a SOCK_SEQPACKET pair.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_MESSAGES_CHILD_H_
#define BROOD_LAUNCHER_MESSAGES_CHILD_H_

#include "launcher/launch_record.h"

namespace brood::child {

inline constexpr int kMaxPassedFds = 200;  // Below SCM_MAX_FD, 253. unix(7).

// Sends `message` with `count` descriptors. False if the other end is gone.
bool SendMessage(int socket, InitMessage message, const int* fds, int count);

// Receives one message and up to `capacity` descriptors (close-on-exec). False at end of file or on a message that is
// not one of ours.
bool ReceiveMessage(int socket, InitMessage* message, int* fds, int capacity, int* count);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_MESSAGES_CHILD_H_
