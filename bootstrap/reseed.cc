#include "bootstrap/reseed.h"

#include <dlfcn.h>
#include <unistd.h>

#include <chrono>

#include "base/random.h"

// There if the program is linked with OpenSSL.
extern "C" [[gnu::weak]] void RAND_seed(const void* bytes, int size);

namespace brood {
namespace internal {
namespace {

void (*g_seed_openssl)(const void* bytes, int size) = nullptr;
pid_t g_found_in = 0;

void (*FindOpenSsl())(const void* bytes, int size) {
  if (RAND_seed != nullptr) return RAND_seed;
  // A plugin's libraries are not among those that dlsym(3) looks through by default.
  for (const char* name : {"libcrypto.so.3", "libcrypto.so.1.1"}) {
    void* const library = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
    if (library == nullptr) continue;
    auto* const found = reinterpret_cast<void (*)(const void*, int)>(dlsym(library, "RAND_seed"));
    dlclose(library);
    return found;
  }
  return nullptr;
}

}  // namespace

void FindGenerators() {
  g_seed_openssl = FindOpenSsl();
  g_found_in = getpid();
}

void ReseedGenerators() {
  // It compares process numbers whenever it is asked for bytes: openssl_get_fork_id(), crypto/threads_pthread.c. To seed it
  // in each child would set all of it up where nobody uses it.
  if (g_seed_openssl == nullptr || g_found_in != getpid()) return;
  unsigned char bytes[32];
  // It adds what the kernel gives it by itself.
  if (FillRandom(bytes, sizeof(bytes)).ok()) g_seed_openssl(bytes, sizeof(bytes));
}

}  // namespace internal

KernelSeed::Words KernelSeed::Draw() {
  Words words = {};
  if (FillRandom(words.data(), sizeof(words)).ok()) return words;
  const auto now = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  words[0] = static_cast<uint32_t>(now);
  words[1] = static_cast<uint32_t>(now >> 32);
  words[2] = static_cast<uint32_t>(getpid());
  return words;
}

}  // namespace brood
