// A socket's file: made for its owner only, removed by its maker only. Not for users: Listener is.
#ifndef BROOD_IPC_SOCKET_FILE_H_
#define BROOD_IPC_SOCKET_FILE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "ipc/socket_address.h"

namespace brood {

namespace internal {

class SocketFile {  // Move-only. Its destruction removes the file, if it is still this one, and in this process only.
 public:
  // Binds `socket` to the path of `address` and listens. The file has mode 0600 whatever the umask, which is not
  // touched.
  //
  // Errors: AlreadyExists (somebody listens there; or it is no socket, another user's, or to be kept), NotFound,
  //   PermissionDenied (the folder).
  static absl::StatusOr<SocketFile> Listen(int socket, const Address& address, const SocketAddress& to, int backlog,
                                           StaleSocketFile stale);

  SocketFile() = default;
  SocketFile(SocketFile&& other) noexcept = default;  // The other has no folder then, and nothing to remove.
  SocketFile& operator=(SocketFile&&) = delete;
  ~SocketFile();

 private:
  // Held open, so that neither a change of the current directory nor a renamed folder leads elsewhere.
  UniqueFd folder_;
  std::string name_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  uint64_t maker_ = 0;
};

}  // namespace internal
}  // namespace brood

#endif  // BROOD_IPC_SOCKET_FILE_H_
