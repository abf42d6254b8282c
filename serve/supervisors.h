// The supervisors of a `brood serve`: those of its forkservers and templates, and those that have been replaced and have children yet.
// Who is below one of them is a child of the server's, or a child has left it.
#ifndef BROOD_SERVE_SUPERVISORS_H_
#define BROOD_SERVE_SUPERVISORS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "forkserver/client.h"

namespace brood::internal {

class Supervisors {
 public:
  // Before anybody of what it bears can ask for something. Of one that is known nothing happens.
  void Add(const ForkServer::Instance& instance);

  // First of all when it is asked who is below them: their numbers may be others' now.
  void ForgetEnded();

  // Of those that lived when ForgetEnded was called last.
  bool Has(pid_t pid) const;
  std::vector<pid_t> pids() const;

  // Now. `number` is an Instance's.
  bool Lives(uint64_t number) const;

 private:
  struct One {
    std::shared_ptr<const UniqueFd> pidfd;
    pid_t pid = 0;
  };
  std::map<uint64_t, One> all_;  // By number.
};

}  // namespace brood::internal

#endif  // BROOD_SERVE_SUPERVISORS_H_
