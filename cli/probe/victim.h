// A process outside that attacks aim at, and that tells what reached it.
#ifndef BROOD_CLI_PROBE_VICTIM_H_
#define BROOD_CLI_PROBE_VICTIM_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood::probe {

class Victim {
 public:
  // `program` is the hostile program, which can play this part, too.
  static absl::StatusOr<Victim> Start(const std::string& program, const std::string& secret);
  Victim(Victim&&) noexcept = default;
  Victim& operator=(Victim&&) = delete;
  ~Victim();  // Kills it.

  pid_t pid() const { return pid_; }
  uint64_t secret_address() const { return secret_address_; }
  uint64_t word_address() const { return word_address_; }

  // Everything about it that an attack could change, as one text: what signals it got, whether it lives, its limits, its
  // scheduling, a word of its memory. The same text twice: nothing happened between. SIGURG is told only if asked for:
  // an attack on all processes may be on its way elsewhere on this machine.
  enum class Urgent { kTold, kIgnored };
  std::string State(Urgent urgent);

 private:
  Victim(pid_t pid, UniqueFd pidfd, UniqueFd says) : pid_(pid), pidfd_(std::move(pidfd)), says_(std::move(says)) {}

  // Reads until a whole line `last` came, or the process can say nothing any more.
  void Listen(const std::string& last);

  pid_t pid_;
  UniqueFd pidfd_;
  UniqueFd says_;
  std::string said_;
  uint64_t secret_address_ = 0;
  uint64_t word_address_ = 0;
};

}  // namespace brood::probe

#endif  // BROOD_CLI_PROBE_VICTIM_H_
