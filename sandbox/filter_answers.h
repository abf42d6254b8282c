// What a filter may answer to a system call, whatever its arguments are.
//
// Follows all paths through the program on which nothing but number and architecture are known, as the kernel does to find
// the calls whose answer it can keep: kernel/seccomp.c, seccomp_is_const_allow().
#ifndef BROOD_SANDBOX_FILTER_ANSWERS_H_
#define BROOD_SANDBOX_FILTER_ANSWERS_H_

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>

namespace brood {

struct FilterAnswers {
  bool may_allow = false;  // With some arguments.
  bool may_refuse = false;
  bool always_allows() const { return may_allow && !may_refuse; }
};

// Of the system call `number` of the native architecture. A program that is not one counts as both.
FilterAnswers AnswersOf(const sock_filter* filter, size_t length, uint32_t number);

// The answer to one call: a SECCOMP_RET_* value, or SECCOMP_RET_KILL_PROCESS for a program that is not one.
uint32_t AnswerTo(const sock_filter* filter, size_t length, uint32_t number, const uint64_t (&args)[6]);

}  // namespace brood

#endif  // BROOD_SANDBOX_FILTER_ANSWERS_H_
