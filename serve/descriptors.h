// What may come with a request of a client's: descriptors that give its child no more than the client has by them.
#ifndef BROOD_SERVE_DESCRIPTORS_H_
#define BROOD_SERVE_DESCRIPTORS_H_

#include "absl/status/status.h"
#include "launcher/serve_protocol.h"

namespace brood::internal {

struct DescriptorRules {
  bool same_user = false;  // The client's user is the server's, and so the child's.
  bool own_root = false;   // The child does not see this machine's files.
};

// The child has the server's rights, which may be more than the client's or those that the policy leaves: what it can open
// anew by a descriptor (/proc/self/fd, openat(2)) it would have with them. So nothing leads to a directory for a child with a
// root of its own, and another user's descriptors are pipes, terminals, memory and the devices that all users have.
//
// Nothing here waits, whatever the file system. Errors: PermissionDenied naming the field and the remedy.
absl::Status CheckDescriptors(const RemoteLaunch& launch, const DescriptorRules& rules);

}  // namespace brood::internal

#endif  // BROOD_SERVE_DESCRIPTORS_H_
