// Names that programs chose, as text of a policy file, which is JSON: UTF-8 without zero characters.
#ifndef BROOD_SANDBOX_LEARN_JSON_TEXT_H_
#define BROOD_SANDBOX_LEARN_JSON_TEXT_H_

#include <string>
#include <string_view>

namespace brood {

// Whether a policy can name it. To the kernel a name is bytes.
bool IsJsonText(std::string_view text);

// With quotes. What is not UTF-8 becomes U+FFFD.
std::string QuotedJson(std::string_view text);

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_JSON_TEXT_H_
