#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule::provider::id_token_property::holds(data));
