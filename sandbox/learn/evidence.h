// Who did something, and how often: the comment behind a line of a learnt policy.
#ifndef BROOD_SANDBOX_LEARN_EVIDENCE_H_
#define BROOD_SANDBOX_LEARN_EVIDENCE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brood {

class Evidence {
 public:
  // `what` is told of the first only: "openat", or "".
  void Saw(std::string_view what, std::string_view program);

  // "openat by gzip, 3 times; sh, once". Without numbers of processes, so that the same run gives the same file.
  std::string Text() const;

  // Of all programs.
  uint64_t count() const;

 private:
  std::string what_;
  std::vector<std::pair<std::string, uint64_t>> programs_;  // In the order of their first times.
};

// Evidence may hold names that a program chose; a line feed would end its comment, and a file that is not UTF-8 is none that editors take.
std::string OneLine(std::string_view text);

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_EVIDENCE_H_
