// The worker's end of jobs. Not for users.
#ifndef BROOD_LAUNCHER_JOBS_JOB_CHILD_H_
#define BROOD_LAUNCHER_JOBS_JOB_CHILD_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "launcher/jobs/protocol.h"

namespace brood::internal {

// Waits for the next job; `job` is what RunJob takes. False when the client has ended, or sent what is no job.
bool ReadJob(int socket, std::string& job);

// Runs it, and gives the answer that is to be sent. What the function throws is an error in there, but for brood::Exit, which is
// thrown on.
std::string RunJob(std::string_view job, uint64_t max_result_bytes);

// A job as the client would send it, of a function that does nothing: whoever has run it has touched what RunJob needs.
std::string IdleJob();

std::string JobReplyBytes(JobReplyKind kind, std::string_view body);

// What cannot be sent is of no interest to anybody.
void SendAll(int socket, std::string_view bytes);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_JOBS_JOB_CHILD_H_
