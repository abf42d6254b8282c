#include "base/status.h"

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace brood {
namespace {

absl::StatusCode CodeOf(int error_number) {
  switch (error_number) {
    case ENOENT:
      return absl::StatusCode::kNotFound;
    case EPERM:
    case EACCES:
      return absl::StatusCode::kPermissionDenied;
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
      return absl::StatusCode::kResourceExhausted;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case ENOSYS:
      return absl::StatusCode::kUnimplemented;
    case ETIMEDOUT:
      return absl::StatusCode::kDeadlineExceeded;
    default:
      return absl::StatusCode::kFailedPrecondition;
  }
}

}  // namespace

absl::Status ErrnoStatus(int error_number, std::string_view operation, std::string_view object,
                         std::string_view remedy) {
  if (remedy.empty() && error_number == EMFILE) remedy = "raise the limit of open files (ulimit -n)";
  return absl::Status(CodeOf(error_number), FailureText(ErrnoText(error_number), operation, object, remedy));
}

std::string FailureText(std::string_view why, std::string_view operation, std::string_view object, std::string_view remedy) {
  std::string message(operation);
  if (!object.empty()) absl::StrAppend(&message, " ", object);
  absl::StrAppend(&message, ": ", why);
  if (!remedy.empty()) absl::StrAppend(&message, "; ", remedy);
  return message;
}

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { annotated.SetPayload(url, payload); });
  return annotated;
}

}  // namespace brood
