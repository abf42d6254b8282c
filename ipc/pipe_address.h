// Names of pipes and whose they are. Windows only; not for users: listener.h and dial.h are.
#ifndef BROOD_IPC_PIPE_ADDRESS_H_
#define BROOD_IPC_PIPE_ADDRESS_H_

#include <windows.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ipc/address.h"

namespace brood::internal {

// Errors: InvalidArgument (another kind of address, or no name of a pipe of this machine).
absl::StatusOr<std::wstring> ToPipeName(const Address& address);

// One that nobody can guess, nor has.
absl::StatusOr<std::string> NewPipeName();

// What a pipe is made with: it belongs to this user, and is open to those that `users` says, of whom none but this one may
// listen at it too.
class PipeSecurity {
 public:
  static absl::StatusOr<PipeSecurity> For(PeerUser users);
  SECURITY_ATTRIBUTES* get() { return &attributes_; }

 private:
  struct Free {
    void operator()(void* descriptor) const { LocalFree(descriptor); }
  };
  std::unique_ptr<void, Free> descriptor_;
  SECURITY_ATTRIBUTES attributes_ = {};
};

// What a dialer may do with it: all but listening. FILE_GENERIC_READ and FILE_GENERIC_WRITE without FILE_CREATE_PIPE_INSTANCE.
inline constexpr DWORD kDialerAccess = (FILE_GENERIC_READ | FILE_GENERIC_WRITE) & ~DWORD{FILE_CREATE_PIPE_INSTANCE};

// Errors: PermissionDenied (it is another user's).
absl::Status CheckPipeIsOwn(int pipe);

}  // namespace brood::internal

#endif  // BROOD_IPC_PIPE_ADDRESS_H_
