// "; did you mean "argv"?" for what people mistype.
#ifndef BROOD_BATCH_SUGGEST_H_
#define BROOD_BATCH_SUGGEST_H_

#include <string>
#include <string_view>
#include <vector>

namespace brood {

// The candidate nearest to `word`, or "" if none is near enough to be what was meant.
std::string NearestWord(std::string_view word, const std::vector<std::string>& candidates);

// `; did you mean "NEAREST"?`, or "".
std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace brood

#endif  // BROOD_BATCH_SUGGEST_H_
