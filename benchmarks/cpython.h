// CPython as a contestant: one interpreter that stays, and does what it is told over a pipe (cpython.py).
#ifndef BROOD_BENCHMARKS_CPYTHON_H_
#define BROOD_BENCHMARKS_CPYTHON_H_

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "launcher/process.h"

namespace brood {

class CPython {
 public:
  // Debian's python3. Errors: NotFound (there is none); those of Process::Launch.
  static absl::StatusOr<CPython> Start();

  // Gives a line of what cpython.py understands to it. Microseconds, as it has measured them itself.
  absl::StatusOr<double> Do(std::string_view command);

 private:
  CPython(Process process, UniqueFd to, UniqueFd from)
      : process_(std::move(process)), to_(std::move(to)), from_(std::move(from)) {}
  Process process_;
  UniqueFd to_;
  UniqueFd from_;
};

}  // namespace brood

#endif  // BROOD_BENCHMARKS_CPYTHON_H_
