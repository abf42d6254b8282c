#include "sandbox/learn/evidence.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "sandbox/learn/json_text.h"

namespace brood {
namespace {

constexpr size_t kMaxPrograms = 4;

}  // namespace

void Evidence::Saw(std::string_view what, std::string_view program) {
  if (programs_.empty()) what_ = what;
  auto found = std::find_if(programs_.begin(), programs_.end(), [&](const auto& entry) { return entry.first == program; });
  if (found == programs_.end()) found = programs_.insert(programs_.end(), {std::string(program), 0});
  ++found->second;
}

std::string Evidence::Text() const {
  std::string text = absl::StrCat(what_, what_.empty() ? "" : " ", "by ");
  for (size_t i = 0; i < programs_.size() && i < kMaxPrograms; ++i) {
    const auto& [program, count] = programs_[i];
    absl::StrAppend(&text, i > 0 ? "; " : "", program, count == 1 ? ", once" : absl::StrCat(", ", count, " times"));
  }
  if (programs_.size() > kMaxPrograms) absl::StrAppend(&text, "; ", programs_.size() - kMaxPrograms, " other programs");
  return OneLine(text);
}

uint64_t Evidence::count() const {
  uint64_t sum = 0;
  for (const auto& [program, count] : programs_) sum += count;
  return sum;
}

std::string OneLine(std::string_view text) {
  std::string line(text);
  const bool is_text = IsJsonText(text);
  const auto is_odd = [&](char c) { return static_cast<unsigned char>(c) < ' ' || (!is_text && static_cast<unsigned char>(c) > '~'); };
  std::replace_if(line.begin(), line.end(), is_odd, '?');
  return line;
}

}  // namespace brood
