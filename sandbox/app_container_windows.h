// AppContainer: a child that reaches no network, and only those files that allow it to application packages.
//
// What makes one is taken from userenv.dll by name, since not every Windows has it (Wine 8 has not). No profile is made, which
// would stay in the registry: the name of the container is a number that nobody else has, and so is what it may reach.
//
// Windows only. Thread-safe.
#ifndef BROOD_SANDBOX_APP_CONTAINER_WINDOWS_H_
#define BROOD_SANDBOX_APP_CONTAINER_WINDOWS_H_

#include <windows.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sandbox/windows_plan.h"

namespace brood {

class AppContainer {
 public:
  // Errors: what the system says; Unimplemented where it has none.
  static absl::StatusOr<AppContainer> Create();

  AppContainer(AppContainer&& other) noexcept;
  AppContainer& operator=(AppContainer&&) = delete;
  ~AppContainer();

  // Puts a child that is born with `list` into it, without any capability; must live until then. Errors: what the system says.
  absl::Status AddTo(LPPROC_THREAD_ATTRIBUTE_LIST list);

  // Whether `process`, which need not have run yet, is in it. FailedPrecondition: what the system says instead.
  absl::Status Check(int process) const;

 private:
  explicit AppContainer(PSID sid);

  PSID sid_ = nullptr;
  SECURITY_CAPABILITIES capabilities_ = {};
};

// Whether this machine makes one: a program of the system's is born in it, with a token of `token` besides, looked at, and ended
// before its first instruction.
absl::Status ProbeAppContainer(const TokenLimits& token = {});

// What of `token` is to be made for a child in a container, which is at the low level whatever its token's is: a restricted token
// from which the kernel makes the container's. NtCreateLowBoxToken.
TokenLimits TokenInContainer(TokenLimits token);

}  // namespace brood

#endif  // BROOD_SANDBOX_APP_CONTAINER_WINDOWS_H_
