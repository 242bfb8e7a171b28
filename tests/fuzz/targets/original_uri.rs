#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule::auth::original_uri_property::holds(data));
