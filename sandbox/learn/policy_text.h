// Adds to the text of a policy file and leaves the rest of it as its author wrote it, comments too.
//
//   text = AddToList(text, {"files"}, {{R"({"path": "/data"})", "openat by gzip, once"}});
//
// The text must be a policy file that was read without an error: JSON with comments. A field whose name is written with
// escapes is not found.
#ifndef BROOD_SANDBOX_LEARN_POLICY_TEXT_H_
#define BROOD_SANDBOX_LEARN_POLICY_TEXT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brood {

struct PolicyLine {
  std::string value;     // JSON.
  std::string evidence;  // Becomes a comment behind it. Must be one line.
};

// Where a value stands: text.substr(begin, end - begin).
struct TextRange {
  size_t begin = 0;
  size_t end = 0;
};

// The value of a field, or of a field in a field. Nothing if there is none.
std::optional<TextRange> FindField(std::string_view text, const std::vector<std::string_view>& path);

// The elements of that list; none if it is no list, or not there.
std::vector<TextRange> ListElements(std::string_view text, const std::vector<std::string_view>& path);

// With further lines at the end of that list. A field of the file itself is added if it is missing, or null.
std::string AddToList(std::string text, const std::vector<std::string_view>& path, const std::vector<PolicyLine>& lines);

// With another value in that range, and another comment behind it.
std::string Replace(std::string text, TextRange range, const PolicyLine& line);

// With another value of a field of the file itself.
std::string SetField(std::string text, std::string_view field, const PolicyLine& line);

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_POLICY_TEXT_H_
