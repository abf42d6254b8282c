// What a rule with the action errno answers, as a policy file says it: "EACCES"; a number, "4095", where the system has no name for it;
// or "0".
#ifndef BROOD_SANDBOX_ERRNO_WORDS_H_
#define BROOD_SANDBOX_ERRNO_WORDS_H_

#include <optional>
#include <string>
#include <string_view>

namespace brood {

// "0": the call does not take place, and to the program it seems that it did. A value of its own, since 0 stands for one that was
// forgotten.
inline constexpr int kSeemsToSucceed = -1;
inline constexpr int kLargestErrno = 4095;  // MAX_ERRNO of the kernel.

std::string ErrnoWord(int errno_value);
std::optional<int> ErrnoFromWord(std::string_view word);

}  // namespace brood

#endif  // BROOD_SANDBOX_ERRNO_WORDS_H_
