#include "launcher/result_error.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "launcher/process.h"

namespace brood::internal {

absl::Status ErrorOf(const ResultError& error) {
  if (error.type == "absl::Status") return error.status;
  std::string text = absl::StrCat(error.type, ": ", error.status.message());
  for (const ResultError* cause = error.cause.get(); cause != nullptr; cause = cause->cause.get()) {
    absl::StrAppend(&text, "; caused by ", cause->type, ": ", cause->status.message());
  }
  absl::Status status = absl::UnknownError(text);
  status.SetPayload(kExceptionTypeUrl, absl::Cord(error.type));
  if (!error.stack.empty()) status.SetPayload(kStackTraceUrl, absl::Cord(error.stack));
  return status;
}

}  // namespace brood::internal
