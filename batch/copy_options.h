// Files into a child and out of it, as people write them.
#ifndef BROOD_BATCH_COPY_OPTIONS_H_
#define BROOD_BATCH_COPY_OPTIONS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "launcher/launch_options.h"

namespace brood {

// "SRC:DEST", split at the first ":/". Errors: InvalidArgument.
absl::StatusOr<CopyIn> ParseCopyIn(std::string_view text);

// "SRC:DEST[:SIZE]", split at the first colon; what follows the last one is a size if it reads as one. Errors: InvalidArgument.
absl::StatusOr<CopyOut> ParseCopyOut(std::string_view text);

// Such texts, that read as the same.
std::string CopyInText(const CopyIn& copy);
std::string CopyOutText(const CopyOut& copy);

}  // namespace brood

#endif  // BROOD_BATCH_COPY_OPTIONS_H_
