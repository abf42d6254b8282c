// What a process has from the one that starts it and that a forkserver can give to nobody afterwards: ids, groups,
// capabilities, securebits, personality, namespaces, root, session, cgroups. If the caller has changed any of it, it needs
// another server.
#ifndef BROOD_FORKSERVER_FINGERPRINT_H_
#define BROOD_FORKSERVER_FINGERPRINT_H_

#include <string>
#include <string_view>

namespace brood::internal {

// Of the calling thread; `status_text` is its /proc/thread-self/status. Equal texts: a server that was started when the
// other was taken will do. Not seen is a Landlock domain, of which the kernel tells nothing.
std::string Fingerprint(std::string_view status_text);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_FINGERPRINT_H_
