#include "base/status.h"

#include <cerrno>
#include <cstring>

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

std::string ErrnoName(int error_number) {
  const char* name = strerrorname_np(error_number);
  return name != nullptr ? std::string(name) : absl::StrCat("errno ", error_number);
}

std::string ErrnoText(int error_number) {
  // strerrordesc_np is the thread-safe and untranslated strerror: messages are the same on every machine.
  const char* text = strerrordesc_np(error_number);
  if (text == nullptr) return ErrnoName(error_number);
  return absl::StrCat(ErrnoName(error_number), " (", text, ")");
}

int ErrnoFromName(std::string_view name) {
  constexpr int kLargestErrno = 4095;  // MAX_ERRNO of the kernel; the highest in use is 133.
  for (int i = 1; i <= kLargestErrno; ++i) {
    const char* candidate = strerrorname_np(i);
    if (candidate != nullptr && name == candidate) return i;
  }
  return 0;
}

absl::Status ErrnoStatus(int error_number, std::string_view operation, std::string_view object,
                         std::string_view remedy) {
  std::string message(operation);
  if (!object.empty()) absl::StrAppend(&message, " ", object);
  absl::StrAppend(&message, ": ", ErrnoText(error_number));
  if (!remedy.empty()) absl::StrAppend(&message, "; ", remedy);
  return absl::Status(CodeOf(error_number), message);
}

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { annotated.SetPayload(url, payload); });
  return annotated;
}

}  // namespace brood
