// Jobs as bytes: the wire form, and what a line of a job file becomes when its JSON is converted by its schema,
// serialization/job.fbs. The one place where the two forms meet.
//
//   BROOD_ASSIGN_OR_RETURN(const std::string bytes, EncodeJob(job));
//   BROOD_ASSIGN_OR_RETURN(const Job same, DecodeJob(bytes));
//
// Functions may be called from any thread.
#ifndef BROOD_BATCH_JOB_FLATBUFFER_H_
#define BROOD_BATCH_JOB_FLATBUFFER_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "batch/job.h"

namespace brood {

// Larger ones are refused before they are looked at. What a line of kMaxJobLineBytes can become: of "a", four bytes, a
// string of twelve.
inline constexpr size_t kMaxJobBytes = 4 * kMaxJobLineBytes;

// Errors: InvalidArgument for options that a job line cannot say (a host name, an optional file), naming the field.
absl::StatusOr<std::string> EncodeJob(const Job& job);

// Verifies the bytes, then reads them. `line`, `number` and `definition`, which belong to a file, are left alone.
//
// Errors: InvalidArgument `field "limits.memory": ...`, or that the bytes are not a job.
absl::StatusOr<Job> DecodeJob(std::string_view bytes);

}  // namespace brood

#endif  // BROOD_BATCH_JOB_FLATBUFFER_H_
