// Messages between caller, guardian and init, with descriptors, over a SOCK_SEQPACKET pair.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_MESSAGES_CHILD_H_
#define BROOD_LAUNCHER_MESSAGES_CHILD_H_

#include <sys/types.h>

#include <cstddef>

#include "launcher/launch_record.h"

namespace brood::child {

inline constexpr int kMaxPassedFds = 200;  // Below SCM_MAX_FD, 253. unix(7).

// Any record with `count` descriptors, with `flags` of send(2). False if it was not sent.
bool SendRecord(int socket, void* record, size_t size, const int* fds, int count, int flags);

// Receives one record and up to `capacity` descriptors (close-on-exec). As recvmsg(2): -1 and errno, 0 at end of file.
ssize_t ReceiveRecord(int socket, void* record, size_t size, int* fds, int capacity, int* count, int flags);

// Sends `message` with `count` descriptors. False if the other end is gone.
bool SendMessage(int socket, InitMessage message, const int* fds, int count);

// Receives one message and up to `capacity` descriptors (close-on-exec). False at end of file or on a message that is
// not one of ours.
bool ReceiveMessage(int socket, InitMessage* message, int* fds, int capacity, int* count);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_MESSAGES_CHILD_H_
