// main() of a fuzz target where libFuzzer is missing: replays a corpus, then
// runs a bounded number of seeded mutations of it. Takes libFuzzer's spelling
// of the options it knows, so that scripts need not care which one they run.
// One thread. On a crash, or when one input takes 25 s, the input is in
// ./crash-<target>.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

std::vector<Input> Load(const std::vector<std::string>& places) {
  std::vector<Input> corpus;
  auto add = [&corpus](const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  };
  for (const std::string& place : places) {
    if (std::filesystem::is_directory(place)) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(place)) {
        if (entry.is_regular_file()) add(entry.path());
      }
    } else if (std::filesystem::exists(place)) {
      add(place);
    }
  }
  return corpus;
}

class Mutator {
 public:
  Mutator(uint64_t seed, size_t max_len) : random_(seed), max_len_(max_len) {}

  Input Next(const std::vector<Input>& corpus) {
    Input input = corpus.empty() ? Input() : corpus[Below(corpus.size())];
    for (size_t steps = 1 + Below(4); steps > 0; --steps) Step(corpus, &input);
    if (input.size() > max_len_) input.resize(max_len_);
    return input;
  }

 private:
  size_t Below(size_t n) { return static_cast<size_t>(random_() % n); }

  void Step(const std::vector<Input>& corpus, Input* input) {
    static constexpr std::string_view kOdd("\0\xff\x7f\x80/:%\n\"'{}[]-", 15);
    const auto at = [&] {
      return input->begin() + static_cast<ptrdiff_t>(Below(input->size() + 1));
    };
    switch (Below(7)) {
      case 0:
        input->insert(at(), static_cast<uint8_t>(random_()));
        break;
      case 1:
        input->insert(at(), static_cast<uint8_t>(kOdd[Below(kOdd.size())]));
        break;
      case 2:
        if (!input->empty()) (*input)[Below(input->size())] ^= uint8_t(1u << Below(8));
        break;
      case 3: {  // cut a run out
        if (input->empty()) break;
        const size_t from = Below(input->size());
        const size_t length = 1 + Below(input->size() - from);
        input->erase(input->begin() + static_cast<ptrdiff_t>(from),
                     input->begin() + static_cast<ptrdiff_t>(from + length));
        break;
      }
      case 4: {  // repeat a run
        if (input->empty()) break;
        const size_t from = Below(input->size());
        const Input run(input->begin() + static_cast<ptrdiff_t>(from), input->end());
        input->insert(at(), run.begin(), run.end());
        break;
      }
      case 5:
        input->resize(Below(input->size() + 1));
        break;
      default: {  // splice another input in
        if (corpus.empty()) break;
        const Input& other = corpus[Below(corpus.size())];
        input->insert(at(), other.begin(), other.end());
      }
    }
  }

  std::mt19937_64 random_;
  size_t max_len_;
};

std::string g_target;
const Input* g_current = nullptr;

void RunOne(const Input& input) {
  g_current = &input;
  alarm(25);
  // Exact-size heap copy: a read past the end is seen by ASan.
  const Input copy(input.begin(), input.end());
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
  g_current = nullptr;
}

void SaveCrash() {
  if (g_current == nullptr) return;
  std::ofstream out("crash-" + g_target, std::ios::binary);
  out.write(reinterpret_cast<const char*>(g_current->data()),
            static_cast<std::streamsize>(g_current->size()));
  std::fprintf(stderr, "input saved in crash-%s (%zu bytes)\n", g_target.c_str(),
               g_current->size());
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t runs = 100000, seed = 1, seconds = 10, max_len = 4096;
  std::vector<std::string> places;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    const auto number = [&arg](std::string_view name, uint64_t* out) {
      if (arg.substr(0, name.size()) != name) return false;
      *out = std::strtoull(arg.data() + name.size(), nullptr, 10);
      return true;
    };
    if (number("-runs=", &runs) || number("-seed=", &seed) ||
        number("-max_total_time=", &seconds) || number("-max_len=", &max_len)) {
      continue;
    }
    if (!arg.empty() && arg[0] == '-') continue;  // an option of libFuzzer without effect here
    places.emplace_back(arg);
  }
  g_target = std::filesystem::path(argv[0]).filename();
  std::signal(SIGABRT, [](int) { SaveCrash(); });
  std::signal(SIGALRM, [](int) { std::abort(); });

  const std::vector<Input> corpus = Load(places);
  for (const Input& input : corpus) RunOne(input);
  RunOne(Input());

  Mutator mutator(seed, max_len);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  uint64_t done = 0;
  for (; done < runs; ++done) {
    if (done % 64 == 0 && std::chrono::steady_clock::now() >= end) break;
    RunOne(mutator.Next(corpus));
  }
  std::printf("%s: %zu corpus inputs and %llu mutations, seed %llu\n", g_target.c_str(),
              corpus.size(), static_cast<unsigned long long>(done),
              static_cast<unsigned long long>(seed));
  return 0;
}
