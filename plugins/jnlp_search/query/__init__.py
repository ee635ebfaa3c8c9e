"""From a query to hits: parsing, retrieval, selection and scores."""
