#include "sandbox/errno_words.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood {

std::string ErrnoWord(int errno_value) {
  if (errno_value == kSeemsToSucceed) return "0";
  std::string name = ErrnoName(errno_value);
  return ErrnoFromName(name) == errno_value ? name : absl::StrCat(errno_value);
}

std::optional<int> ErrnoFromWord(std::string_view word) {
  if (word == "0") return kSeemsToSucceed;
  if (const int value = ErrnoFromName(word); value != 0) return value;
  int value = 0;
  const bool is_number = word.find_first_not_of("0123456789") == std::string_view::npos && absl::SimpleAtoi(word, &value);
  if (!is_number || value < 1 || value > kLargestErrno) return std::nullopt;
  return value;
}

}  // namespace brood
