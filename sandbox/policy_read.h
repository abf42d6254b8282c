// How fields of a policy's bytes are read, and what is wrong with them is told. For the files that decode one alone.
#ifndef BROOD_SANDBOX_POLICY_READ_H_
#define BROOD_SANDBOX_POLICY_READ_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "sandbox/policy_words.h"

namespace brood {
namespace internal {

using Strings = flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>;

inline std::string_view View(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

inline absl::Status Invalid(std::string_view field, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("policy: ", field, ": ", why));
}

template <typename T, size_t N>
absl::StatusOr<T> ReadWord(const Word<T> (&words)[N], std::string_view text, std::string_view field) {
  std::string known;
  for (const Word<T>& word : words) {
    if (word.text == text) return word.value;
    absl::StrAppend(&known, known.empty() ? "" : ", ", word.text);
  }
  return Invalid(field, absl::StrCat("unknown word \"", text, "\"; there are ", known));
}

// None of them empty. Null: there are none.
absl::StatusOr<std::vector<std::string>> ReadStrings(const Strings* strings, std::string_view field);

// Lays the policy's over those of its base.
absl::Status ReadFiles(const fbs::Policy& from, std::vector<FileRule>& files);

}  // namespace internal
}  // namespace brood

#endif  // BROOD_SANDBOX_POLICY_READ_H_
