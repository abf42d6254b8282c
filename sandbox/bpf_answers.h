// What a filter that somebody else has made may answer to a system call, as far as its number tells. For brood's own filters, whose
// instructions are fewer, there is sandbox/filter_answers.h.
#ifndef BROOD_SANDBOX_BPF_ANSWERS_H_
#define BROOD_SANDBOX_BPF_ANSWERS_H_

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace brood {

struct BpfAnswers {
  std::vector<uint32_t> values;  // SECCOMP_RET_*, with their data; each once.
  bool computed = false;         // And others, that it computes of what is not known before the call.

  bool always_allows() const;
  // The strictest that it may be, by the kernel's order; what is computed counts as SECCOMP_RET_KILL_PROCESS.
  uint32_t strictest() const;
};

// The stricter of two answers. seccomp(2), "in decreasing order of precedence"
uint32_t Stricter(uint32_t one, uint32_t other);

// Of the call `number` of the native architecture, whatever its arguments. `program` is one that ReadBpf() has read.
BpfAnswers PossibleAnswers(const std::vector<sock_filter>& program, uint32_t number);

}  // namespace brood

#endif  // BROOD_SANDBOX_BPF_ANSWERS_H_
