// Sockets outside that an attack should not reach.
#ifndef BROOD_CLI_PROBE_LISTENERS_H_
#define BROOD_CLI_PROBE_LISTENERS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood::probe {

class Listeners {
 public:
  // Socket files are made in `directory`. What this machine lacks (IPv6) is left out.
  static absl::StatusOr<Listeners> Create(const std::string& directory, const std::string& nonce);

  // "tcp4=1234" and the like, for those who attack.
  const std::vector<std::string>& facts() const { return facts_; }

  // Which of them somebody connected or sent to; "" for none.
  std::string Reached() const;

 private:
  struct Listener {
    std::string name;
    UniqueFd fd;
    bool is_stream = false;
  };
  std::vector<Listener> listeners_;
  std::vector<std::string> facts_;
};

}  // namespace brood::probe

#endif  // BROOD_CLI_PROBE_LISTENERS_H_
