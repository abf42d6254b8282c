// How many children each client of a server may have at once, so that one that is greedy takes nothing from the others.
//
//   BROOD_RETURN_IF_ERROR(quotas.Take(payer, memory));   // A child is to be born.
//   quotas.GiveBack(payer, memory);                      // It has ended.
#ifndef BROOD_SERVE_QUOTA_H_
#define BROOD_SERVE_QUOTA_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>

#include "absl/status/status.h"

namespace brood {

struct ServeQuota {
  // Children that live at once; none: as many as the machine takes. A client is a process that has connected, with those of the
  // server's children that it has, and what these ask for themselves. One that forks is several clients of one user.
  std::optional<uint64_t> children_per_client;
  std::optional<uint64_t> children_per_user;
  std::optional<uint64_t> children;
  // Of the children of one client that live at once, the limits of memory added up. One without a limit is refused then.
  std::optional<uint64_t> memory_per_client;

  bool operator==(const ServeQuota&) const = default;
};

namespace internal {

// Whose a child is.
struct Payer {
  pid_t process = 0;
  uid_t user = 0;
};

class ServeQuotas {
 public:
  explicit ServeQuotas(ServeQuota quota) : quota_(quota) {}

  // `memory` is the limit of the child's.
  // Errors: ResourceExhausted (one too many), FailedPrecondition (it has no limit of memory, and its client's has).
  absl::Status Take(const Payer& payer, std::optional<uint64_t> memory);
  void GiveBack(const Payer& payer, std::optional<uint64_t> memory);

 private:
  struct Account {
    uint64_t children = 0;
    uint64_t memory = 0;
  };

  const ServeQuota quota_;
  Account all_;
  std::map<pid_t, Account> clients_;  // Those that have children.
  std::map<uid_t, Account> users_;
};

}  // namespace internal
}  // namespace brood

#endif  // BROOD_SERVE_QUOTA_H_
