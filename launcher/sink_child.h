// Writes to somebody else's open file without waiting for it, where its own flags must stay as they are.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_SINK_CHILD_H_
#define BROOD_LAUNCHER_SINK_CHILD_H_

#include <sys/types.h>

#include <cstddef>

namespace brood::child {

// As write(2), with all signals blocked, for a pipe, a socket or a terminal whose description may be without O_NONBLOCK and
// shared, so that poll(2) promises nothing: another writer may fill it in between, and a terminal takes less than it is given.
// Returns within some 10 ms, with EAGAIN or EINTR where nothing could be written.
ssize_t WriteSoon(int fd, const char* data, size_t length);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_SINK_CHILD_H_
