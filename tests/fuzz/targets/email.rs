#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule_fuzz::email::holds(data));
