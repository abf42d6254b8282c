// Telling text from other bytes, and showing what others wrote.
#ifndef BROOD_BATCH_TEXT_H_
#define BROOD_BATCH_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace brood {

// How many bytes the first character of `text` takes; 0 if they are not UTF-8 (RFC 3629: no overlong forms, no
// surrogates, nothing beyond U+10FFFF) or there are none.
size_t Utf8Length(std::string_view text);

bool IsUtf8(std::string_view text);

// Control characters, and bytes that are not UTF-8, become \xNN, so that no id or message can drive the terminal or
// forge a line.
std::string Printable(std::string_view text);

}  // namespace brood

#endif  // BROOD_BATCH_TEXT_H_
